"""A merchant's products, from which later forms are filled in."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Invalid
from backend.domain.kinds import CERTIFIED
from backend.domain.parties import Role
from backend.services.products import add_product
from backend.services.verification import evaluated
from backend.web.context import current_context, only, person
from backend.web.forms.documents import ProductForm
from backend.web.pages import blueprint

PAGE = 50


@blueprint.get("/products")
@only(Role.MERCHANT)
def products() -> str:
    """List the merchant's products."""
    with current_context().work(reading=True) as work:
        own = work.products.of(person().organisation, PAGE, request.args.get("after"))
    return render_template("pages/products.html", products=own, page=PAGE)


@blueprint.route("/products/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_product() -> ResponseReturnValue:
    """Add a product."""
    form = ProductForm()
    if request.method == "POST":
        try:
            product = add_product(current_context(), person(), form.document)
        except Invalid as error:
            form.show(error.problems)
            return render_template("pages/product_new.html", form=form), 422
        flash(_("The product is saved. Next: state its certificate of origin."))
        return redirect(url_for("pages.product", product_id=product.id))
    return render_template("pages/product_new.html", form=form)


@blueprint.get("/products/<product_id>")
@only(Role.MERCHANT)
def product(product_id: str) -> str:
    """Show a product with its papers."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.products.get(product_id, person().organisation)
        papers = evaluated(ctx, [r for r in work.records.about(found, PAGE) if r.superseded_by_id is None])
    return render_template("pages/product.html", product=found, papers=papers, certified=CERTIFIED)
